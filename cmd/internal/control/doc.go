// Package control is how people and programs talk to a running daemon: HTTP
// with JSON on a unix socket.
//
//	GET  /v1/status   Status
//	POST /v1/reload   Reloaded, or 422 and Error when the file is refused
//
// Whoever may open the socket may read: root, the owner of the daemon and the
// configured group. Changing anything takes root or the owner. With curl:
//
//	curl --unix-socket /run/holdfast/holdfast.sock http://holdfast/v1/status
package control
