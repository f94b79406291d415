"""Files on the file systems of this machine."""
