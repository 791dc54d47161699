package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker for releases; otherwise the build knows.
var version string

func versionString() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				v += "-" + s.Value[:12]
			}
		}
	}
	return v
}

func versionCommand() command {
	c := command{
		name: "version", short: "print the version",
		long:     "Prints the version of this program, and what it was built by and for.",
		examples: []example{{"holdfast version", "what a report of a bug should begin with"}},
		exit:     "0 printed, 2 wrong usage.",
	}
	c.setup = func(*flag.FlagSet) runner {
		return func(env *environment, _ []string) int {
			fmt.Fprintf(env.stdout, "holdfast %s (%s, %s/%s)\n", versionString(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return exitDone
		}
	}
	return c
}
