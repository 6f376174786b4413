"""What a gateway tells about itself: metrics and one structured log."""
