// Keeps more and more memory: eat MIB says "0", waits for a line, then keeps so many MiB on its
// heap, one by one, saying after each how many there are, and waits for the end of input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
)

var kept [][]byte

func main() {
	most, _ := strconv.Atoi(os.Args[1])
	input := bufio.NewReader(os.Stdin)
	fmt.Println(0)
	input.ReadString('\n')
	for len(kept) < most {
		block := make([]byte, 1<<20)
		for at := 0; at < len(block); at += 4096 {
			block[at] = 1
		}
		kept = append(kept, block)
		fmt.Println(len(kept))
	}
	input.ReadString('\n')
}
