"""What lies in the bucket: data named for its content, and the artifacts of models."""
