// Pushes numbered lines with loki-client-go: ADDRESS, json or protobuf, and how many. They belong to three streams and two
// tenants, most with metadata, which the library only sends in protobuf; a push that fails is tried again until it
// succeeds. Fails unless the client counts every line as sent, and prints how many pushes it tried again.
package main

import (
	"fmt"
	stdlog "log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/kit/log"
	"github.com/go-kit/kit/log/level"
	"github.com/grafana/loki-client-go/loki"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
)

// What a label may hold: the client writes it with Go's escapes.
const odd = "\"quoted\" back\\slash \u00e4 \U0001f600 \a\b\f\n\r\t\v \x01\x7f \u200b \U000e0001 {a=\"b\"}, c"

// Some lines are long, some empty; in protobuf some hold bytes that are not text, which JSON cannot carry.
func line(number int, json bool) string {
	text := fmt.Sprintf("line %d: \"quoted\" back\\slash \u00e4 \U0001f600 <tag> & tab\there", number)
	switch {
	case number%100 == 50 && !json:
		return text + " \xff\xfe\x00 \xf0\x9f"
	case number%100 == 51:
		return text + strings.Repeat(" long", 60_000)
	case number%100 == 52:
		return ""
	}
	return text
}

// The sum of a counter of the client over its hosts.
func counted(name string) int {
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		stdlog.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return int(sum)
}

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
		labels := model.LabelSet{
			"app":                      "client",
			"odd":                      odd,
			"part":                     model.LabelValue(strconv.Itoa(number % 3)),
			loki.ReservedLabelTenantID: model.LabelValue([]string{"left", "right"}[number%2]),
		}
		time := time.Unix(1_700_000_000+int64(number), 123_456_000+int64(number))
		metadata := push.LabelsAdapter{}
		if number%10 != 0 {
			metadata = push.LabelsAdapter{{Name: "number", Value: strconv.Itoa(number)}, {Name: "odd", Value: odd}}
		}
		if err := client.HandleWithMetadata(labels, time, line(number, config.EncodeJson), metadata); err != nil {
			stdlog.Fatal(err)
		}
	}
	client.Stop()
	if sent := counted("promtail_sent_entries_total"); sent != count {
		stdlog.Fatalf("%d of %d lines were sent", sent, count)
	}
	if dropped := counted("promtail_dropped_entries_total"); dropped != 0 {
		stdlog.Fatalf("%d lines were dropped", dropped)
	}
	fmt.Println(counted("promtail_batch_retries_total"))
}
