package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

type order struct {
	Begin *struct {
		Shape  Shape  `json:"shape"`
		AtOnce int    `json:"at_once"`
		Prefix string `json:"prefix"`
	} `json:"begin"`
	End *struct{} `json:"end"`
}

// A name, and when it was submitted and had ended.
type execution [3]any

func converse(temporal client.Client) error {
	run := func(name string, shape Shape) error {
		options := client.StartWorkflowOptions{ID: name, TaskQueue: taskQueue}
		// Submitted again, it is the same execution.
		return patiently(func() error {
			running, err := temporal.ExecuteWorkflow(context.Background(), options, Run, name, shape)
			if err != nil {
				return err
			}
			return running.Get(context.Background(), nil)
		})
	}
	if err := run("ready", Shape{Chain: 1}); err != nil {
		return err
	}
	say(map[string]any{"ready": map[string]string{"sdk": sdkVersion(), "go": runtime.Version()}})
	var end func() []execution
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var told order
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			return err
		}
		if begin := told.Begin; begin != nil {
			end = keepBusy(run, begin.Shape, begin.AtOnce, begin.Prefix)
		}
		if told.End != nil {
			say(map[string]any{"executions": end()})
		}
	}
	return lines.Err()
}

// Asks again whenever the server took too long to answer, as it does where it has too much to do.
func patiently(ask func() error) error {
	until := time.Now().Add(patience)
	for {
		err := ask()
		var late *serviceerror.DeadlineExceeded
		isLate := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late)
		if !isLate || time.Now().After(until) {
			return err
		}
	}
}

// Keeps so many executions running, until the function that it returns is called.
func keepBusy(run func(string, Shape) error, shape Shape, atOnce int, prefix string) func() []execution {
	var isOver atomic.Bool
	var running sync.WaitGroup
	each := make([][]execution, atOnce)
	for at := range atOnce {
		running.Go(func() {
			for count := 0; !isOver.Load(); count++ {
				name := fmt.Sprintf("%s-%d-%d", prefix, at, count)
				began := time.Now().UnixNano()
				if err := run(name, shape); err != nil {
					say(map[string]any{"failed": err.Error()})
					os.Exit(1)
				}
				each[at] = append(each[at], execution{name, began, time.Now().UnixNano()})
			}
		})
	}
	return func() []execution {
		isOver.Store(true)
		running.Wait()
		executions := []execution{}
		for _, one := range each {
			executions = append(executions, one...)
		}
		return executions
	}
}

func say(what any) {
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		os.Exit(1)
	}
}
