// Package control is how people and programs talk to a running daemon: HTTP
// with JSON on a unix socket.
//
//	GET  /v1/status   Status; with recent=true also the last probes of each check
//	GET  /v1/explain  Explained, of instance=NAME or of all, or 422 and Error when
//	                  there is none of that name
//	GET  /v1/events   Events, or a stream of Event and Lost with follow=true
//	GET  /v1/logs     Logs, or a stream of LogRecord and Lost with follow=true
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
// The events asked for are since=N (those after number N, or 6925a0f3-N of one
// history), since=1h or since=2006-01-02T15:04:05Z; instance=, kind= (each
// several times, or with commas) and severity= (at least) choose among them, and
// of what is chosen limit= leaves the latest. With follow=true these are
// followed by each new one as it happens, one JSON object a line; an empty line
// every 15 seconds shows that the stream is alive, and {"lost":12} stands for
// events that the reader was too slow for. With "Accept: text/event-stream" they
// are server-sent events, which go on after a Last-Event-ID.
//
// Of the log, since= is a time and limit= what they are with events; level= is
// trace, debug, info, warn or error, and what is below info can be followed alone.
// The daemon puts it together only while somebody does.
//
// However many ask, the loop is asked for a status so often at most, and those who
// ask at a time share the answer, which is never older than their question. There
// are 128 connections at most, 32 of them for root and the owner of the daemon
// alone, and 32 of any other user: who comes beyond them gets 503 and Error. Those
// who may only read wait where they ask more than 200 times a second, all together.
// A request must come within 30 seconds, its header within 5 and in 16 KiB, and an
// answer must be read within 10.
//
// Whoever may open the socket may read: root, the owner of the daemon and the
// configured group. Changing anything takes root or the owner. With curl:
//
//	curl --unix-socket /run/holdfast/holdfast.sock http://holdfast/v1/status
//	curl --unix-socket /run/holdfast/holdfast.sock 'http://holdfast/v1/explain?instance=web'
//	curl --unix-socket /run/holdfast/holdfast.sock -d '{"instances":["web"],"for":"30m"}' http://holdfast/v1/drain
package control
