// Package healthcheck finds out whether a service on this host works.
//
// A [Prober] probes once; [Run] probes one check again and again and turns the
// outcomes into a verdict with a [Tracker]; a [Runner] owns a set of running
// checks that may be replaced at any time. Nothing here knows what the verdict
// is good for.
package healthcheck
