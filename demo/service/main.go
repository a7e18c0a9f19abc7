// The Go program of the demo's stories: keeps 64 MiB alive and makes garbage slowly, as a service
// does that has a cache. GOGC and GOMEMLIMIT are as Go has them unless they are set.
package main

import (
	"fmt"
	"time"
)

const block = 256 << 10

var kept [256][]byte

func main() {
	for n := 0; ; n++ {
		made := make([]byte, block)
		for at := 0; at < len(made); at += 4096 {
			made[at] = 1
		}
		kept[n%len(kept)] = made
		if n == len(kept) {
			fmt.Println("ready")
		}
		if n > len(kept) {
			time.Sleep(150 * time.Millisecond)
		}
	}
}
