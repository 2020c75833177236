// Holds the namespaces of a pod: it does nothing until it is told to end.
package main

import (
	"context"
	"os/signal"
	"syscall"

)

func main() {
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ended.Done()
}
