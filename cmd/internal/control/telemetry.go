package control

import "time"

// Telemetry is how the daemon itself has been doing since its start.
type Telemetry struct {
	// ConfigHash tells one text of the configuration from another,
	// ConfigGeneration counts those that were put in force, ConfigLoaded is
	// when that was last.
	ConfigHash       string    `json:"config_hash"`
	ConfigGeneration uint64    `json:"config_generation"`
	ConfigLoaded     time.Time `json:"config_loaded"`
	// ReloadsRefused counts reloads that changed nothing.
	ReloadsRefused uint64 `json:"reloads_refused"`
	// HooksSucceeded and HooksCutOff count hooks beside those that failed; what
	// a restart cuts off, the next daemon runs.
	HooksSucceeded uint64 `json:"hooks_succeeded"`
	HooksCutOff    uint64 `json:"hooks_cut_off"`
	// JournalErrors counts writes of the journal that failed: until one
	// succeeds a restart will not be silent.
	JournalErrors uint64 `json:"journal_errors"`
	// AddressErrors counts orders to the kernel that went wrong as a whole.
	AddressErrors uint64 `json:"address_errors"`
	// ListenError is why metrics and the status page are not served although
	// they should be.
	ListenError string `json:"listen_error,omitempty"`
	// LogLinesLost counts log lines that a slow or broken log did not take.
	LogLinesLost uint64   `json:"log_lines_lost"`
	Lateness     Lateness `json:"lateness"`
}

// Lateness is how late the loop woke, of all times it was to wake by itself.
type Lateness struct {
	Count uint64  `json:"count"`
	SumMS float64 `json:"sum_ms"`
	// Buckets are cumulative; the count of any lateness is Count.
	Buckets []LatenessBucket `json:"buckets"`
}

// LatenessBucket counts what was not later than so much.
type LatenessBucket struct {
	UpToMS float64 `json:"up_to_ms"`
	Count  uint64  `json:"count"`
	// LastBeyond is when it was later than that last; zero when it never was.
	LastBeyond time.Time `json:"last_beyond,omitzero"`
}
