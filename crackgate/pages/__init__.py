"""The common parts of our HTML pages: layout, elements, style, charts, thumbnails, and names shown as text."""
