"""Figures of pages as SVG, drawn by the server: no script is needed to see them, and a style sheet gives the colors."""
