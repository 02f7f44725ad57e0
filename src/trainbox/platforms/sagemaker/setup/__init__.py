"""What must be there once: a bucket, an execution role and a repository with the image."""
