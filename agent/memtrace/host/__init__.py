"""What the host says about itself in text files; every path lies under an injected root."""
