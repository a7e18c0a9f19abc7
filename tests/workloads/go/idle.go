// Sleeps until it is killed: idle. With a word behind it (idle busy) it allocates 64 KiB every
// 20 ms, so that it collects about once a second. Says "ready" first.
package main

import (
	"fmt"
	"os"
	"time"
)

var kept []byte

func main() {
	fmt.Println("ready")
	for len(os.Args) > 1 {
		kept = make([]byte, 64<<10)
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Hour)
}
