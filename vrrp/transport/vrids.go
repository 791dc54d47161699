package transport

// headerLen is the least length of a VRRP message. Of one that is shorter nobody
// can say whose it is.
const headerLen = 8

// VRIDs is a set of virtual router identifiers.
type VRIDs [8]uint32

// Add puts a VRID into the set.
func (v *VRIDs) Add(id uint8) { v[id>>5] |= 1 << (id & 31) }

// Has reports whether a VRID is in the set.
func (v *VRIDs) Has(id uint8) bool { return v[id>>5]>>(id&31)&1 == 1 }

// Join adds all of another set.
func (v *VRIDs) Join(o VRIDs) {
	for n := range v {
		v[n] |= o[n]
	}
}
