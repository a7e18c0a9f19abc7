// Collects garbage as often as it is told: collect COUNT forced calls runtime.GC so often; collect
// COUNT busy allocates in two goroutines until the heap's growth has made it collect so often.
// A third word is the depth of the tree that it keeps: 16 are 2 MiB. Says "ready" first and waits for a line; says "done" afterwards and waits for the end of input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
)

type node struct {
	left, right *node
}

var kept *node
var sink []*node

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func collections() uint32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats) // stops the world, without a collection
	return stats.NumGC
}

func allocate(place int, until uint32, done *sync.WaitGroup) {
	for collections() < until {
		sink[place] = tree(12)
	}
	done.Done()
}

func main() {
	count, _ := strconv.Atoi(os.Args[1])
	depth := 16
	if len(os.Args) > 3 {
		depth, _ = strconv.Atoi(os.Args[3])
	}
	kept = tree(depth)
	sink = make([]*node, 2)
	input := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	input.ReadString('\n')
	if os.Args[2] == "forced" {
		for i := 0; i < count; i++ {
			runtime.GC()
		}
	} else {
		var done sync.WaitGroup
		until := collections() + uint32(count)
		done.Add(2)
		go allocate(0, until, &done)
		go allocate(1, until, &done)
		done.Wait()
	}
	fmt.Println("done")
	input.ReadString('\n')
}
