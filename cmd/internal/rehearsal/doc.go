// Package rehearsal plays the failures that a pair or a group of nodes will
// meet, with the very configurations that they will run, on the simulated
// network of package vrrp/sim: every failure alone, and every two in a row.
//
// It knows no more than the files say. Which nodes share a link, and by which
// addresses they speak, it concludes from the instances that they have in
// common; see newNetwork.
package rehearsal
