"""Interactive figures in self-contained files. The only package that uses plotly."""
