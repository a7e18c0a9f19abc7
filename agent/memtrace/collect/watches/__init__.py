"""What is attached only while somebody asks for it: one file for each thing to watch."""
