// A service that a test conducts: one order a line, answered by a line.
//
//	keep MIB           holds so much on its heap from now on, in small objects that point at others,
//	                   and collects once: only then the runtime knows all of it
//	churn KIB          allocates so many KiB of garbage a second from now on (-1: as fast as it can)
//	encoders MIB LOAD  LOAD requests at once: for each that can run, one encoder of so many MiB
//	stats              answers with its own figures, as JSON
//
// Says "ready" first and ends with its input.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

const objectBytes = 64

type object struct {
	left, right *object
	_           [objectBytes - 16]byte
}

var (
	kept     []*object
	encoders [][]byte
	sink     atomic.Pointer[object]
	rate     atomic.Int64 // KiB a second
	churned  atomic.Int64 // objects
)

func tree(objects int) *object {
	if objects < 1 {
		return nil
	}
	return &object{left: tree((objects - 1) / 2), right: tree(objects / 2)}
}

// Whole MiBs, each a tree: what is kept grows and shrinks at its end.
func keep(mib int) {
	for len(kept) < mib {
		kept = append(kept, tree((1<<20)/objectBytes))
	}
	clear(kept[mib:])
	kept = kept[:mib]
	runtime.GC()
}

//go:noinline
func makeGarbage(objects int64) {
	for range objects {
		sink.Store(&object{})
	}
	churned.Add(objects)
}

func churn() {
	const tick = 10 * time.Millisecond
	for {
		switch wanted := rate.Load(); {
		case wanted < 0:
			makeGarbage(1 << 14)
		default:
			makeGarbage(wanted * 1024 / objectBytes / int64(time.Second/tick))
			time.Sleep(tick)
		}
	}
}

// As many encoders as can run at the same time, as compressors keep them.
func encode(mib, load int) {
	for len(encoders) < min(load, runtime.GOMAXPROCS(0)) {
		encoder := make([]byte, mib<<20)
		for at := 0; at < len(encoder); at += 4096 {
			encoder[at] = 1
		}
		encoders = append(encoders, encoder)
	}
}

func stats() string {
	var figures runtime.MemStats
	runtime.ReadMemStats(&figures)
	said, _ := json.Marshal(map[string]any{
		"live_bytes": figures.HeapAlloc, "goal_bytes": figures.NextGC,
		"in_use_bytes": figures.HeapInuse, "collections": figures.NumGC,
		"gc_cpu_fraction": figures.GCCPUFraction, "gomaxprocs": runtime.GOMAXPROCS(0),
		"encoders": len(encoders), "kept_bytes": len(kept) << 20,
		"churned_bytes": churned.Load() * objectBytes,
	})
	return string(said)
}

func obey(line string) string {
	var one, other int
	order, numbers, _ := strings.Cut(strings.TrimSpace(line), " ")
	fmt.Sscan(numbers, &one, &other)
	switch order {
	case "keep":
		keep(one)
	case "churn":
		rate.Store(int64(one))
	case "encoders":
		encode(one, other)
	case "stats":
		return stats()
	}
	return "done"
}

func main() {
	go churn()
	orders := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for orders.Scan() {
		fmt.Println(obey(orders.Text()))
	}
}
