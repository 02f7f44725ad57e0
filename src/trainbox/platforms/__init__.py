"""Where a training job runs: each platform gives the container program the same tree and brings its model back."""
