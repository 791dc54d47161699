// Package control is how people and programs talk to a running daemon: HTTP
// with JSON on a unix socket.
//
//	GET  /v1/status   Status
//	POST /v1/reload   Reloaded, or 422 and Error when the file is refused
//	POST /v1/drain    DrainOrder: Operated, once a peer has taken over or nobody did
//	POST /v1/undrain  Selection: Operated
//	POST /v1/failover Selection: Operated, once a peer has taken over or nobody did
//	POST /v1/announce Selection: Operated
//
// The last four take JSON bodies, which may be empty, and answer 422 and Error
// when a body is not understood or names an instance that does not exist; nothing
// was done then. Else they answer 200: "done" tells whether all was done, the
// results what came of each instance. An order stands also when who gave it does
// not wait for the answer.
//
// Whoever may open the socket may read: root, the owner of the daemon and the
// configured group. Changing anything takes root or the owner. With curl:
//
//	curl --unix-socket /run/holdfast/holdfast.sock http://holdfast/v1/status
//	curl --unix-socket /run/holdfast/holdfast.sock -d '{"instances":["web"],"for":"30m"}' http://holdfast/v1/drain
package control
