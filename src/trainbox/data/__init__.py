"""Files in folders and archives, images, splits and the image cache: no task's words, and every skip counted."""
