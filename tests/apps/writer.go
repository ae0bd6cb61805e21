// Go makes its system calls itself, so no library sees them.
package main

import (
	"fmt"
	"log"
	"os"
)

func main() {
	file, err := os.Create("go.log")
	if err != nil {
		log.Fatal(err)
	}
	logger := log.New(os.Stderr, "", 0)
	for line := 0; line < 100; line++ {
		fmt.Println("go stdout", line)
		logger.Println("go stderr", line)
		fmt.Fprintln(file, "go log", line)
	}
	os.Exit(5)
}
