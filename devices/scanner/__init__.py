"""Bar code scanners: carriers as images, a camera that reads them, and a TCP port that passes on what was read."""
