// Pushes numbered lines with loki-client-go: ADDRESS, json or protobuf, and how many. Two streams, each line with
// metadata, which the library only sends in protobuf; a push that fails is tried again. Fails when the client complains.
package main

import (
	"fmt"
	stdlog "log"
	"os"
	"strconv"
	"time"

	"github.com/go-kit/kit/log"
	"github.com/go-kit/kit/log/level"
	"github.com/grafana/loki-client-go/loki"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/common/model"
)

func main() {
	if len(os.Args) != 4 {
		stdlog.Fatal("usage: loki_client_go ADDRESS json|protobuf COUNT")
	}
	count, err := strconv.Atoi(os.Args[3])
	if err != nil {
		stdlog.Fatal(err)
	}
	config, err := loki.NewDefaultConfig(os.Args[1] + "/loki/api/v1/push")
	if err != nil {
		stdlog.Fatal(err)
	}
	config.EncodeJson = os.Args[2] == "json"
	config.BatchSize = 2_000
	config.Timeout = time.Minute
	config.BackoffConfig.MinBackoff = time.Millisecond
	config.BackoffConfig.MaxBackoff = 20 * time.Millisecond
	config.BackoffConfig.MaxRetries = 100
	complain := log.LoggerFunc(func(words ...interface{}) error {
		stdlog.Fatal(words...)
		return nil
	})
	client, err := loki.NewWithLogger(config, level.NewFilter(complain, level.AllowError()))
	if err != nil {
		stdlog.Fatal(err)
	}
	for number := range count {
		labels := model.LabelSet{"app": "client", "part": model.LabelValue(strconv.Itoa(number % 2))}
		time := time.Unix(1_700_000_000+int64(number), 123_456_000+int64(number))
		line := fmt.Sprintf("line %d: \"quoted\" back\\slash \u00e4 \U0001f600 <tag> & tab\there", number)
		metadata := push.LabelsAdapter{{Name: "number", Value: strconv.Itoa(number)}}
		if err := client.HandleWithMetadata(labels, time, line, metadata); err != nil {
			stdlog.Fatal(err)
		}
	}
	client.Stop()
}
