"""Videos: frames through the model, smoothed into segments of roadwork; a timeline page; frames to learn from."""
