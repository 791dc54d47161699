// Keeps the status page current. Without it the page is as the server wrote it.
"use strict";

const silence = 5000; // after so many milliseconds without a sign the page is stale
const $ = (id) => document.getElementById(id);
let offset = 0; // of the server's clock to this one
let heard = Date.now();
let title = document.title;

function age(ms) {
	const s = Math.max(0, Math.floor(ms / 1000));
	const two = (n) => String(n).padStart(2, "0");
	if (s < 60) return s + "s";
	if (s < 3600) return Math.floor(s / 60) + "m" + two(s % 60) + "s";
	if (s < 86400) return Math.floor(s / 3600) + "h" + two(Math.floor(s / 60) % 60) + "m";
	return Math.floor(s / 86400) + "d" + two(Math.floor(s / 3600) % 24) + "h";
}

function ages() {
	for (const t of document.querySelectorAll("time.age")) {
		t.textContent = "for " + age(Date.now() + offset - Date.parse(t.dateTime));
	}
}

function gone(why) {
	const text = "No answer since " + new Date(heard).toLocaleTimeString() + ": " + why + ". What is below was so then.";
	if ($("stale").textContent !== text) $("stale").textContent = text;
	$("stale").hidden = false;
	document.body.classList.add("gone");
	document.title = "? " + title;
}

function states() {
	const found = new Map();
	for (const s of document.querySelectorAll("#instances .state")) found.set(s.dataset.name, s.textContent);
	return found;
}

// put makes the page what the daemon said, and says aloud what became of states.
function put(news) {
	const before = states();
	for (const id in news.parts) {
		let part = $(id);
		if (!part) {
			part = document.createElement("article");
			part.id = id;
			$("instances").append(part);
		}
		part.innerHTML = news.parts[id]; // escaped by the server
	}
	if (news.order) {
		const wanted = new Set(news.order);
		for (const a of [...$("instances").children]) if (!wanted.has(a.id)) a.remove();
		news.order.forEach((id, n) => {
			const now = $("instances").children[n];
			if (now && now.id !== id) $("instances").insertBefore($(id), now);
		});
	}
	const said = [];
	for (const [name, state] of states()) {
		if (before.has(name) && before.get(name) !== state) said.push(name + " is now " + state);
	}
	if (said.length) $("said").textContent = said.join(", ");
}

const live = new EventSource("live");
live.addEventListener("state", (e) => {
	const news = JSON.parse(e.data);
	heard = Date.now();
	offset = Date.parse(news.at) - heard;
	title = document.title = news.title;
	$("stale").hidden = true;
	document.body.classList.remove("gone");
	put(news);
	$("at").dateTime = news.at;
	$("at").textContent = new Date(heard).toLocaleTimeString() + ", live";
	ages();
});
live.addEventListener("lost", () => gone("the daemon does not take part any more"));
live.addEventListener("error", () => {
	if (live.readyState !== EventSource.CLOSED) {
		gone("the daemon cannot be reached");
		return;
	}
	gone("the daemon does not keep this page current, as many may be open; trying again soon"); // the browser does not
	setTimeout(() => location.reload(), 10000);
});
setInterval(() => {
	if (Date.now() - heard > silence) gone("the daemon is silent");
	ages();
}, 1000);
