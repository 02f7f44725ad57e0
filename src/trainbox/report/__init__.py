"""Reports that stand alone: a page, its parts and its drawings. No task's words."""
