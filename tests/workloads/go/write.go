// Two functions that write two files: write DIRECTORY SMALL LARGE. writeSmall writes SMALL pages
// of 4 KiB one by one, writeLarge LARGE pages a MiB at a time, in turn, so that they alternate.
// Says "ready" at the end, with both files open, and waits for the end of input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const page = 4096

//go:noinline
func writeSmall(file *os.File, pages int) {
	for i := 0; i < pages; i++ {
		write(file, 1)
	}
}

//go:noinline
func writeLarge(file *os.File, pages int) {
	write(file, pages)
}

//go:noinline
func write(file *os.File, pages int) {
	if _, err := file.Write(make([]byte, pages*page)); err != nil {
		panic(err)
	}
}

func create(name string) *os.File {
	file, err := os.Create(filepath.Join(os.Args[1], name))
	if err != nil {
		panic(err)
	}
	return file
}

func main() {
	small, _ := strconv.Atoi(os.Args[2])
	large, _ := strconv.Atoi(os.Args[3])
	one, other := create("small"), create("large")
	for small > 0 || large > 0 {
		writeSmall(one, min(small, 64))
		writeLarge(other, min(large, 256))
		small -= min(small, 64)
		large -= min(large, 256)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
}
