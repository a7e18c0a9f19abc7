"""A report as one HTML page that needs neither script nor network."""
