"""What a long-running process needs besides its work: settings, logs, a listener, protection."""
