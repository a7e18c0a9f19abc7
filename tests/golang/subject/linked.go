package main

// static int seven(void) { return 7; }
import "C"

// Only built with CGO_ENABLED=1: then gcc links the program.
func init() { fromC = int(C.seven()) }
