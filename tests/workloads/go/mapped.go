// A database that maps its file and looks up pages of it: mapped FILE says "ready" when it has seen
// each page once, goes on looking up, and ends with its input. Its heap is small.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"syscall"
	"time"
)

const page = 4096

var found byte

func lookUp(data []byte) {
	for {
		for range 100 {
			found += data[rand.Intn(len(data)/page)*page]
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	status, _ := file.Stat()
	data, err := syscall.Mmap(int(file.Fd()), 0, int(status.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	for at := 0; at < len(data); at += page {
		found += data[at]
	}
	go lookUp(data)
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
}
