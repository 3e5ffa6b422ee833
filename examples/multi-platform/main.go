// Command whereami says what it was compiled for.
package main

import (
	"fmt"
	"runtime"
)

var target = "?"

func main() {
	fmt.Printf("asked for %s, runs on %s/%s\n", target, runtime.GOOS, runtime.GOARCH)
}
