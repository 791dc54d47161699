package vrrp
import ("testing";"fmt")
type dbgT struct{ *testing.T; te *engineTest }
func TestDbg(t *testing.T) {
	dbg = true
	defer func(){ dbg=false }()
	for seed := range uint64(300) { t.Run(fmt.Sprint(seed), func(t *testing.T){ runPlay(t, randomBytes(seed, 3000)) }); if t.Failed() {return} }
}
