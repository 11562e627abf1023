"""What our HTML pages share: their look, charts, thumbnails, and names shown as text."""
