module sidespan-peers/silent-stream

go 1.26.0
