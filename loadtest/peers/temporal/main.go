// Temporal beside us: `peer worker` does stages that do nothing, each an activity; `peer load` submits workflows as
// it is told on the standard input (`conversation.mjs` says how).
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const (
	taskQueue = "noop"
	// Work that a busy server gave out and nobody heard of is given out again after that.
	activityLimit = time.Minute
	patience      = 4 * time.Minute
	pause         = 200 * time.Millisecond
)

// Shape of an execution: so many stages one after the other, or so many branches and a join.
type Shape struct {
	Chain int `json:"chain,omitempty"`
	Fan   int `json:"fan,omitempty"`
}

// Job is one stage of one execution.
type Job struct {
	Execution string
	Stage     int
	Last      bool
}

func main() {
	temporal, err := client.Dial(client.Options{
		HostPort: os.Getenv("TEMPORAL_ADDRESS"),
		Logger:   quiet{},
	})
	if err == nil {
		defer temporal.Close()
		err = awaitNamespace(temporal)
	}
	if err == nil {
		switch os.Args[1] {
		case "worker":
			err = work(temporal)
		case "load":
			err = converse(temporal)
		default:
			err = fmt.Errorf("`worker` or `load`, not `%s`", os.Args[1])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The server listens before it has made its namespace.
func awaitNamespace(temporal client.Client) error {
	asked := &workflowservice.DescribeNamespaceRequest{Namespace: client.DefaultNamespace}
	until := time.Now().Add(patience)
	for {
		_, err := temporal.WorkflowService().DescribeNamespace(context.Background(), asked)
		if err == nil || time.Now().After(until) {
			return err
		}
		time.Sleep(pause)
	}
}

func work(temporal client.Client) error {
	ledger, err := openLedger(os.Getenv("LEDGER"))
	if err != nil {
		return err
	}
	options := worker.Options{
		MaxConcurrentWorkflowTaskPollers: 8,
		MaxConcurrentActivityTaskPollers: 8,
	}
	running := worker.New(temporal, taskQueue, options)
	running.RegisterWorkflow(Run)
	noop := func(_ context.Context, job Job) error {
		ledger.note(job)
		return nil
	}
	running.RegisterActivityWithOptions(noop, activity.RegisterOptions{Name: "noop"})
	return running.Run(worker.InterruptCh())
}

// Run does the stages of one execution.
func Run(ctx workflow.Context, execution string, shape Shape) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: activityLimit})
	begin := func(stage int, last bool) workflow.Future {
		return workflow.ExecuteActivity(ctx, "noop", Job{execution, stage, last})
	}
	for stage := range shape.Chain {
		if err := begin(stage, stage == shape.Chain-1).Get(ctx, nil); err != nil {
			return err
		}
	}
	if shape.Fan == 0 {
		return nil
	}
	var branches []workflow.Future
	for stage := range shape.Fan {
		branches = append(branches, begin(stage, false))
	}
	for _, branch := range branches {
		if err := branch.Get(ctx, nil); err != nil {
			return err
		}
	}
	return begin(shape.Fan, true).Get(ctx, nil)
}

// The version of the SDK that this was built with.
func sdkVersion() string {
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == "go.temporal.io/sdk" {
			return module.Version
		}
	}
	return ""
}

// Tells errors only.
type quiet struct{}

var _ log.Logger = quiet{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}

func (quiet) Error(what string, about ...any) {
	fmt.Fprintln(os.Stderr, append([]any{what}, about...)...)
}
