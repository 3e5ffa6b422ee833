package com.example.clock;

import java.time.Instant;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Clock {
    public static void main(String[] args) {
        SpringApplication.run(Clock.class, args);
    }

    @GetMapping("/")
    Instant now() {
        return Instant.now();
    }
}
