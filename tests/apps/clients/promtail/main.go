// Pushes numbered lines with promtail's client: ADDRESS and how many. They belong to three streams and two tenants;
// a push that fails is tried again until it succeeds. Fails unless the client counts every line as sent, and prints
// how many pushes it tried again.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	"github.com/grafana/dskit/backoff"
	"github.com/grafana/dskit/flagext"
	"github.com/grafana/loki/pkg/push"
	"github.com/grafana/loki/v3/clients/pkg/promtail/api"
	"github.com/grafana/loki/v3/clients/pkg/promtail/client"
	lokiflagext "github.com/grafana/loki/v3/pkg/util/flagext"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	kit "github.com/go-kit/log"
)

// What a label may hold: the client writes it with Go's escapes.
const odd = "\"quoted\" back\\slash \u00e4 \U0001f600 \a\b\f\n\r\t\v \x01\x7f \u200b \U000e0001 {a=\"b\"}, c"

func line(number int) string {
	text := fmt.Sprintf("line %d: \"quoted\" back\\slash \u00e4 \U0001f600 <tag> & tab\there", number)
	switch {
	case number%100 == 50:
		// Bytes that are no text.
		return text + " \xff\xfe\x00 \xf0\x9f"
	case number%100 == 51:
		return text + strings.Repeat(" long", 60_000)
	case number%100 == 52:
		return ""
	}
	return text
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: promtail ADDRESS COUNT")
	}
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	var url flagext.URLValue
	if err := url.Set(os.Args[1] + "/loki/api/v1/push"); err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	pusher, err := client.New(client.NewMetrics(registry), client.Config{
		URL:            url,
		BatchWait:      time.Second,
		BatchSize:      2_000,
		Client:         config.DefaultHTTPClientConfig,
		BackoffConfig:  backoff.Config{MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond},
		ExternalLabels: lokiflagext.LabelSet{LabelSet: model.LabelSet{"app": "promtail", "odd": odd}},
		Timeout:        time.Minute,
	}, 0, 0, false, level.NewFilter(kit.NewLogfmtLogger(os.Stderr), level.AllowError()))
	if err != nil {
		log.Fatal(err)
	}
	for number := range count {
		entry := api.Entry{Labels: model.LabelSet{
			"part":                       model.LabelValue(strconv.Itoa(number % 3)),
			client.ReservedLabelTenantID: model.LabelValue([]string{"left", "right"}[number%2]),
		}}
		entry.Timestamp = time.Unix(1_700_000_000+int64(number), 123_456_000+int64(number))
		entry.Line = line(number)
		if number%10 != 0 {
			entry.StructuredMetadata = push.LabelsAdapter{
				{Name: "number", Value: strconv.Itoa(number)},
				{Name: "odd", Value: odd},
			}
		}
		pusher.Chan() <- entry
	}
	pusher.Stop()
	if sent := counted(registry, "promtail_sent_entries_total"); sent != count {
		log.Fatalf("sent %d lines of %d", sent, count)
	}
	if dropped := counted(registry, "promtail_dropped_entries_total"); dropped != 0 {
		log.Fatalf("dropped %d lines", dropped)
	}
	fmt.Println(counted(registry, "promtail_batch_retries_total"))
}

// The sum of a counter over all its labels.
func counted(registry *prometheus.Registry, name string) int {
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
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
