"""What a trained model is used for: functions over a loaded model."""
