"""Interactive pictures, each in one file that needs no network. The only package that uses plotly."""
