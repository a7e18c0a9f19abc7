"""What a report shows of a stretch of time: series, growth by cause, events. Draws nothing."""
