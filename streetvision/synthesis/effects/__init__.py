"""What the local back end does to pixels; one file each. Pictures are float32 [H, W, 3] in [0, 1]."""
