// Package sim runs many Engines on a simulated network.
package sim
