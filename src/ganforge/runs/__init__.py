"""The run folder: started, watched, resumed, reported."""
