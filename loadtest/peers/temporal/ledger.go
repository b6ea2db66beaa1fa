package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

// What the measuring reads of each stage: that it began and was done, and when.
type ledger chan string

func openLedger(path string) (ledger, error) {
	to, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	lines := make(ledger, 1024)
	go func() {
		for line := range lines {
			if _, err := to.Write([]byte(line)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}()
	return lines, nil
}

func (lines ledger) note(job Job) {
	last := 0
	if job.Last {
		last = 1
	}
	at := time.Now().UnixNano()
	of := fmt.Sprintf("%d %s %d %d", os.Getpid(), job.Execution, job.Stage, last)
	lines <- fmt.Sprintf("%s B %d\n%s D %d\n", of, at, of, at)
}
